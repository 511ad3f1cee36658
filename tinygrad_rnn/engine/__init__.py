"""The tape and the reverse sweep: what is recorded, and how the gradient walks back. It knows no Tensor class."""

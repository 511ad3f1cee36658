"""Tensors on the tape: their NumPy protocols, derivatives as functions, gradcheck, checkpointing."""

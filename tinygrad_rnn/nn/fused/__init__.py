"""The steps of a layer computed together: the same numbers as the loop in `recurrent`, in arrays over time."""

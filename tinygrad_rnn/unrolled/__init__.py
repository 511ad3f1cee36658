"""A tape read as an unrolled network: layers, steps, states, cuts, losses. Reports and pictures stand on it."""

"""Every exception the library raises on purpose.

Each is also the built-in exception a NumPy user would expect (ValueError, TypeError, ...), so that
existing ``except`` clauses keep working. A message names the argument or the op, what was expected,
what was given, and the cure.
"""


class GraphError(RuntimeError):
    """The graph cannot do what was asked of it (no path, no graph, no gradient needed)."""


class FreedGraphError(GraphError):
    """A second backward pass reached records that the first one already freed."""


class OverwrittenError(GraphError):
    """A tensor was given new data between the forward pass that used it and the backward pass."""


class AnomalyError(ArithmeticError):
    """Within `tg.anomaly()`, an op or a derivative rule made the first nan or inf."""


class ShapeError(ValueError):
    """Shapes that do not fit together."""


class NonScalarError(GraphError, ShapeError):
    """backward() or grad() of a tensor with many entries, without saying which gradient to start from."""


class DtypeError(TypeError):
    """A dtype that cannot be used here (integers that should carry a gradient, strings, objects)."""


class NotDifferentiableError(TypeError):
    """A NumPy function, or a way of calling one, that the tape cannot differentiate."""


class CompileError(TypeError):
    """A step that cannot be compiled, since it does what a recording of it does not hold; it runs op by op."""


class GradcheckError(AssertionError):
    """A gradient rule disagrees with central differences."""


class StateDictError(ValueError):
    """A state dict does not fit the module; the message lists every mismatch."""


class DataError(ValueError):
    """A text or series that cannot be used as training data."""


class CheckpointError(RuntimeError):
    """A checkpoint that is missing, damaged or not ours."""


class DrawError(RuntimeError):
    """A picture that cannot be made (no renderer, unknown format, nothing to draw)."""


class ExportError(RuntimeError):
    """A model that a file format of others cannot hold; the message names the part."""

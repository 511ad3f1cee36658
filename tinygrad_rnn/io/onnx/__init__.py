"""A model as an ONNX file (extra ``onnx``), to be run elsewhere: in onnxruntime, in a web page, on a telephone.

The model is run twice on example inputs, the second time on others, with longer free axes (`recording`). Layers that
ONNX has become its nodes (`layers`); what a model computes between them is read off the tape, op by op (`ops`). Where
the two runs differ in anything but sizes that grow with the inputs, the file would be right for the examples alone,
and the model is refused (`graph`).
"""

from .export import to_onnx

__all__ = ["to_onnx"]

"""How fast the library is, beside what people would use instead, and beside what NumPy can do at all.

``python -m tests.benchmarks`` measures, prints tables of ratios, and judges them against the goals.
"""

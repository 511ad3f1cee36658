"""What compiled programs are made of. These files need numba, and are not imported from here: their texts are put into
the cache folder, as those of the programs are (`compiled/cache.py`), and numba keeps the machine code beside them.

vectors     the registers of the processor
products    products of matrices
functions   tanh, exp, ...
programs    how programs are compiled
crew        threads that share a loop
"""

"""DNS messages as bytes: names, queries, answers, replies. Standard library only, no I/O, no clock.

Anyone in `gateway` may import it, and `blocklists` and `admin` for names. RFC 1035, 2181, 2308, 3597, 4343, 6840, 6891, 7830, 7871, 7873,
8482, 8906, 8914, 9018, 9267, 9460, 9619.
"""

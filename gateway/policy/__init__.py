"""The judgement: who asks, what holds for them now, and what becomes of a name. No I/O but the loading of a generation.

Read `model` for the values, `engine` for the order of the judgement, `snapshot` for what the pipeline holds. `gateway` and the
packages above it may import from here; this package imports only `gateway.errors`, `gateway.release` and `gateway.wire`.
"""

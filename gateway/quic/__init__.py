"""DNS over QUIC (RFC 9250), in a process of its own: it terminates QUIC and hands each query to a worker; it judges nothing.

`relay` is the line between the two (bytes, no I/O), `server` what a connection may do, `process` the process. aioquic is an optional extra
(`lachan[doq]`), imported by `server` and `process` only, which nothing but the forked process imports.
"""

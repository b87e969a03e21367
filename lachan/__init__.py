"""The command `lachan`: composes the packages into one program. Nobody imports this package.

Modules import the other packages inside functions, so that `lachan query` does not load the control plane and the supervisor does not
load the compiler of lists.
"""

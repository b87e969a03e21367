"""The edge of the control plane: everything between the socket and a route, one job per file.

`arrival`  who asks, by which scheme and host (front ends are believed only from the list)
`origin`   changes only from our own pages (Origin, Sec-Fetch-Site)
`limits`   bodies of bounded size and time
`headers`  what every answer carries: content policy, no sniffing, no framing, no store
`cookies`  the names and flags of cookies
`faults`   errors become a page or JSON, once

Plain ASGI, so that each layer costs a function call. Used by `admin.app` only.
"""

"""Takedown: from a document to entries in force, provable at each step.

| module | what it decides |
|---|---|
| `documents` | document numbers and dates as offices write them, kept exactly, read tolerantly |
| `model` | the four objects (report, order, entry, review), their states, who may act |
| `workflow` | the transition table: the only door between two states |
| `deadlines` | dated clocks with their legal basis, overdue or not, in Viet Nam time |
| `importer` | pasted text and office files to rows, each with a verdict |
| `store` | the rows of the database; every change writes the journal |
| `publishing` | entries in force to the order segment that gateways read |
| `assertions` | what a version must leave true at each age, or it does not go out |
| `returns` | back to an earlier version, confirmed by a second person |

The decisions here take time, actor and state as arguments and do no I/O; only `store` touches the database.
`admin` may import all of it; nothing here imports `admin`.
"""

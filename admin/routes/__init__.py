"""Routes, one file per room: `routes/<room>.py` speaks HTTP, `admin/<room>.py` decides and writes, `templates/<room>/` shows.

Every route names the permission it needs (`Depends(need(Permission.…))`), or stands on the short list of open routes (a test knows it).
"""

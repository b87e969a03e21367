"""How pages are made: words in the reader's language, dates and numbers, static files, the renderer, and small pictures.

`words` catalogues · `formats` dates, times, numbers · `assets` static files · `render` templates · `weekgrid` the picture of a week.
Templates lie in `admin/templates/<room>/`; the words of a template are English message ids, translated by `admin/locale/<language>.po`.
"""

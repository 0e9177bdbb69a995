"""The catalogue: tables of SQLite in the library's folder, or of a PostgreSQL server."""

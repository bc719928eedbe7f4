"""What a session or a run knows of itself, its code and its data; knows no recorder. Imports `_store` and below."""

"""Collect facts about a session, its code and its data, without a recorder. Imports `_store` and below."""

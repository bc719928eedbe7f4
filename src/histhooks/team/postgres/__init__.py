"""A PostgreSQL database as the target of a team: one schema that holds what a store holds, and who pushed it."""

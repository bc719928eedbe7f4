"""A folder or a bucket as the target of a team: a drop box of small stores, each with some lines of one session."""

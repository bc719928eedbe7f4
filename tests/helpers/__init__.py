"""What several tests use: programs, stores, terminals and trainings. No test imports another test."""

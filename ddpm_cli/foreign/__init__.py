"""Networks of other programs: their names, their files, and a proof that both compute alike."""

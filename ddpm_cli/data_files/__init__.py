"""The files of data sets: IDX arrays, members of archives, walks through folders, labels."""

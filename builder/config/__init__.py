"""What is set in files, for all builds of this machine, of a user, or of a project.

places    where the files are; nothing but that, since every start looks there
document  one file: its values with their places, or what is wrong with it
settings  what the machine's and the user's files set, each by its name
defaults  the defaults of options, which a project's file may set too
"""

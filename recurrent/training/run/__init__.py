"""The folder of a run: who may write there, what it is, what it recorded, and where a resume goes on."""

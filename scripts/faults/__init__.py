"""What `run.py` is made of: runs that are killed, damaged, and given too little space."""

"""What every keeper of the promise, and every backend, must do."""

"""dvol on machines of its own: installed as a stranger would, rebooted, cut off, upgraded."""

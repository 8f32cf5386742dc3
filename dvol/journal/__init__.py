"""The redo journal and its steps: several renames, all or none; not what the steps are for."""

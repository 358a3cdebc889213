"""The main job in one command, with every part real."""

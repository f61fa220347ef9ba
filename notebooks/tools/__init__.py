"""The course tool: builds, executes and checks the lessons, and writes README's tables."""

"""From rubrics to what travels: exercises, the mistakes that people make in them, and the numbers recorded of both."""

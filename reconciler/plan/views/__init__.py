"""A plan as text, JSON, Markdown and lists of objects. Every view reads only the plan."""

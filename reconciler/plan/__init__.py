"""What a round will do, as frozen data: computed without I/O, shown, agreed to, and then executed as shown."""

"""What a round will do, as frozen data: computed purely, shown, asked for, and then executed as shown."""

"""What an entry keeps of the density that it was made from: its difference to free atoms, and error bars."""

"""PostgreSQL: the seed's five tables, the inventory beside them, the lock, the migrations."""

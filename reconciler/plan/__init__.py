"""Three states in, one plan out; a plan is data that others print, guard and carry out. Pure."""

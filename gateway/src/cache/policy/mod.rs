//! Which answers may be kept, for how long, and for whom: pure functions of heads, rules and times.

//! Does the table follow what is an entry's own, and nothing else?

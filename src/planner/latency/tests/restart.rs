//! Does what was learned survive, and is what cannot be used refused?

//! stub
/// s
#[derive(Debug, Clone)]
pub struct Vocabulary;

//! stub
/// s
#[derive(Debug)]
pub struct CatalogError;
/// s
pub fn load() {}

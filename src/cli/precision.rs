//! In which precision does what is hosted compute on this machine?

use std::path::Path;

use super::serve::read_profile;
use crate::{
    catalog::{self, Catalog, Dtype, Family},
    engine::ops::native::Bf16,
    planner::precision::{Choice, NoBf16, choose},
};

/// Reads `models.toml`, every model with the precision it has here.
pub(super) fn load(config: &Path) -> anyhow::Result<Catalog> {
    let mut catalog = catalog::load(config)?;
    resolve(&mut catalog)?;
    Ok(catalog)
}

/// Puts the precision that it has here in the place of every `auto`.
pub(super) fn resolve(catalog: &mut Catalog) -> anyhow::Result<()> {
    catalog.families.iter_mut().try_for_each(resolve_family)
}

/// The same for one family.
pub(super) fn resolve_family(family: &mut Family) -> anyhow::Result<()> {
    let dtypes: Result<Vec<Dtype>, NoBf16> =
        with_choices(family, |_, choice| choice.map(|it| it.dtype))
            .into_iter()
            .collect();
    for (card, dtype) in family.models.iter_mut().zip(dtypes?) {
        card.dtype = dtype;
    }
    Ok(())
}

/// What becomes of every model's choice, which `of` is given with its name. A profile that cannot be used
/// says nothing; `serve` and `doctor` say why.
pub(super) fn with_choices<T>(
    family: &Family,
    of: impl Fn(&str, Result<Choice<'_>, NoBf16>) -> T,
) -> Vec<T> {
    let has_bf16 = Bf16::detect().is_some();
    // A large file, which only some choices rest on.
    let is_open = family.models.iter().any(|card| card.dtype == Dtype::Auto);
    let profile = family.profile.as_ref().filter(|_| is_open);
    let profile = profile.and_then(|path| read_profile(family, path).ok());
    let models = family.models.iter();
    models
        .map(|card| of(&card.id.0, choose(card, has_bf16, profile.as_ref())))
        .collect()
}

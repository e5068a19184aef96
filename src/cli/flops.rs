//! `goldilocks flops`: what does one evaluation of this U-Net cost?

use std::{path::PathBuf, str::FromStr};

use serde::Serialize;

use super::{examples, out};
use crate::{
    catalog::architecture::UnetConfig,
    planner::cost::{
        Grid, NetworkCost,
        unet::{self, Part},
    },
};

/// Pixels for each latent along one side, in every Stable Diffusion.
const PIXELS_PER_LATENT: usize = 8;

/// Counts the floating-point operations of one U-Net evaluation
///
/// One picture, one prompt, two operations for each multiply-accumulate, attention products included.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::FLOPS)]
pub struct Args {
    /// The `config.json` of a diffusers U-Net.
    #[arg(value_name = "UNET_CONFIG.json")]
    config: PathBuf,
    /// Height of the picture in pixels, a multiple of 8.
    #[arg(long, required_unless_present = "latent")]
    height: Option<usize>,
    /// Width of the picture in pixels, a multiple of 8.
    #[arg(long, required_unless_present = "latent")]
    width: Option<usize>,
    /// Height and width of the latents, for autoencoders that do not shrink pictures by 8.
    #[arg(long, value_name = "HxW", conflicts_with_all = ["height", "width"])]
    latent: Option<LatentSize>,
    /// Tokens of text that the picture attends to.
    #[arg(long, default_value_t = 77)]
    tokens: usize,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Prints the cost.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let latents = latents(args)?;
    let config = UnetConfig::read(&args.config)?;
    let report = Report::new(&config, latents, args.tokens);
    if args.json {
        return out::print_json(&report);
    }
    out::print(&report.table())
}

fn latents(args: &Args) -> anyhow::Result<Grid> {
    if let Some(LatentSize(grid)) = args.latent {
        return Ok(grid);
    }
    let side = |name: &str, pixels: Option<usize>| {
        let pixels = pixels.unwrap_or(0);
        anyhow::ensure!(
            pixels > 0 && pixels.is_multiple_of(PIXELS_PER_LATENT),
            "{name} {pixels} is not a positive multiple of {PIXELS_PER_LATENT}; \
             give the latents themselves by --latent HxW"
        );
        Ok(pixels / PIXELS_PER_LATENT)
    };
    Ok(Grid {
        height: side("height", args.height)?,
        width: side("width", args.width)?,
    })
}

#[derive(Debug, Clone, Copy)]
struct LatentSize(Grid);

impl FromStr for LatentSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let side = |digits: &str| digits.parse().ok().filter(|n: &usize| *n > 0);
        let sides = text.split_once('x');
        sides
            .and_then(|(height, width)| {
                Some(Self(Grid {
                    height: side(height)?,
                    width: side(width)?,
                }))
            })
            .ok_or_else(|| format!("{text:?} is not HEIGHTxWIDTH, for example 64x64"))
    }
}

#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    whole: Row,
    parts: Vec<Row>,
    tokens: usize,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    latent_height: usize,
    latent_width: usize,
    total_flops: u64,
    conv_flops: u64,
    linear_flops: u64,
    attention_flops: u64,
    parameters: u64,
}

impl Row {
    fn new(name: String, grid: Grid, cost: &NetworkCost) -> Self {
        Self {
            name,
            latent_height: grid.height,
            latent_width: grid.width,
            total_flops: cost.total().0 as u64,
            conv_flops: cost.conv.0 as u64,
            linear_flops: cost.linear.0 as u64,
            attention_flops: cost.attention.0 as u64,
            parameters: cost.parameters,
        }
    }

    fn line(&self) -> String {
        let grid = format!("{}x{}", self.latent_height, self.latent_width);
        let gflop = |flops: u64| format!("{:>11.4}", flops as f64 / 1e9);
        format!(
            "{:<8} {grid:>9} {} {} {} {} {:>12.3}\n",
            self.name,
            gflop(self.conv_flops),
            gflop(self.linear_flops),
            gflop(self.attention_flops),
            gflop(self.total_flops),
            self.parameters as f64 / 1e6
        )
    }
}

impl Report {
    fn new(config: &UnetConfig, latents: Grid, tokens: usize) -> Self {
        let parts = unet::parts(config, latents, tokens);
        let cost = unet::cost(config, latents, tokens);
        let row = |part: Part| Row::new(part.name, part.grid, &part.cost);
        Self {
            whole: Row::new("total".into(), latents, &cost),
            parts: parts.into_iter().map(row).collect(),
            tokens,
        }
    }

    fn table(&self) -> String {
        let rows = self.parts.iter().chain([&self.whole]);
        format!(
            "GFLOP of one evaluation with {} tokens (2 per multiply-accumulate)\n\
             {:<8} {:>9} {:>11} {:>11} {:>11} {:>11} {:>12}\n{}",
            self.tokens,
            "part",
            "HxW",
            "conv",
            "linear",
            "attention",
            "total",
            "parameters/M",
            rows.map(Row::line).collect::<String>()
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        let words = format!("flops config.json {line}");
        Ok(Command::try_parse_from(words.split_whitespace())?.args)
    }

    fn config() -> UnetConfig {
        serde_json::from_str(
            r#"{"in_channels": 4, "out_channels": 4, "block_out_channels": [32, 64],
                "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
                "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "cross_attention_dim": 64}"#,
        )
        .unwrap()
    }

    #[test]
    fn eight_pixels_are_one_latent() {
        let from_pixels = latents(&parse("--height 512 --width 256").unwrap()).unwrap();
        let given = latents(&parse("--latent 64x32").unwrap()).unwrap();
        assert_eq!(from_pixels, given);
        assert_eq!((given.height, given.width), (64, 32));
    }

    #[test]
    fn refuses_sizes_that_are_no_latents() {
        for line in ["--height 0 --width 8", "--height 8 --width 12"] {
            let message = latents(&parse(line).unwrap()).unwrap_err().to_string();
            assert!(message.contains("multiple of 8"), "{message}");
        }
        for line in [
            "",
            "--height 8",
            "--latent 8",
            "--latent 0x8",
            "--latent 8x8 --width 8",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn json_has_the_total_and_its_parts() {
        let latents = Grid {
            height: 16,
            width: 16,
        };
        let report = Report::new(&config(), latents, 77);
        let json = serde_json::to_value(&report).unwrap();
        let number = |key: &str| json[key].as_u64().unwrap();
        let kinds = ["conv_flops", "linear_flops", "attention_flops"].map(number);
        assert_eq!(number("total_flops"), kinds.iter().sum::<u64>());
        let parts = json["parts"].as_array().unwrap();
        let of_parts = parts
            .iter()
            .map(|part| part["total_flops"].as_u64().unwrap());
        assert_eq!(number("total_flops"), of_parts.sum::<u64>());
        assert!(number("parameters") > 0);
    }

    #[test]
    fn the_table_has_a_line_for_every_part() {
        let latents = Grid {
            height: 16,
            width: 16,
        };
        insta::assert_snapshot!(Report::new(&config(), latents, 77).table());
    }

    #[test]
    fn a_missing_file_is_named() {
        let args = parse("--latent 8x8").unwrap();
        let message = run(&args).unwrap_err().to_string();
        assert!(message.contains("config.json"), "{message}");
    }
}

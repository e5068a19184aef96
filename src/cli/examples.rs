//! What would one type? A few lines under each command's `--help`; a test reads every one of them.

pub(super) const ALL: &str = "\
Examples:
  goldilocks serve
  goldilocks generate \"two cats on grass\" -o cats.png
  goldilocks plan --latency-ms 30
  goldilocks doctor

Exit codes:
  0  done
  1  it failed; standard error says why and what would help
  2  the command line cannot be read
  3  no plan fits the budget or reaches the score (plan, generate)

Answers go to standard output, everything else to standard error. Colors are for terminals; NO_COLOR turns them off.";

pub(super) const SERVE: &str = "\
Examples:
  goldilocks serve
  goldilocks serve --listen 0.0.0.0:8080 --state-dir /var/lib/goldilocks --log-format json
  goldilocks serve --api-key-file keys.txt --open-probes --open-metrics
  goldilocks serve --max-images 4 --queue-capacity 32 --print-config";

pub(super) const GENERATE: &str = "\
Examples:
  goldilocks generate \"three pineapples on a beach\" --seed 7
  goldilocks generate \"three pineapples on a beach\" --tflops 0.004
  goldilocks generate \"a red heart on grass\" --model emoji-c16 --steps 8 --sampler dpmpp_2m -o heart.webp
  goldilocks generate \"a red heart on grass\" --model-dir weights/emoji --model unet-c16 --json";

pub(super) const PLAN: &str = "\
Examples:
  goldilocks plan --latency-ms 30
  goldilocks plan --tflops 0.004 --model emoji-c32
  goldilocks plan --min-score 0.7 --minimize tflops --json
  goldilocks plan --quality max -n 4";

pub(super) const CALIBRATE: &str = "\
Examples:
  goldilocks calibrate latency
  goldilocks calibrate quality --minutes 30
  goldilocks calibrate report --output report.html
  goldilocks calibrate sheet --output sheet.png";

pub(super) const CALIBRATE_LATENCY: &str = "\
Examples:
  goldilocks calibrate latency
  goldilocks calibrate latency --state-dir /var/lib/goldilocks --json";

pub(super) const CALIBRATE_QUALITY: &str = "\
Examples:
  goldilocks calibrate quality
  goldilocks calibrate quality --captions 16 --refined-captions 16 --held-out-captions 0 --output trial.json
  goldilocks calibrate quality --self --family sd15 --minutes 480

It can be stopped at any time and goes on where it stopped.";

pub(super) const CALIBRATE_PRECISION: &str = "\
Examples:
  goldilocks calibrate precision
  goldilocks calibrate precision --model emoji-c32 --steps 4,8,16 --json";

pub(super) const CALIBRATE_REPORT: &str = "\
Examples:
  goldilocks calibrate report --output report.html
  goldilocks calibrate report --output frontier.svg --objective alignment
  goldilocks calibrate report --json";

pub(super) const CALIBRATE_SHEET: &str = "\
Examples:
  goldilocks calibrate sheet --output sheet.png
  goldilocks calibrate sheet --output sheet.png --captions 2 --steps 1,4,16 --guidance 5";

pub(super) const TRACE: &str = "\
Examples:
  goldilocks trace poisson --rate 20 --seconds 60 --budgets 60:1,250:2 --output trace.csv
  goldilocks trace flash --help";

pub(super) const TRACE_POISSON: &str = "\
Examples:
  goldilocks trace poisson --rate 20 --seconds 60 --budgets 60:1,120:2,250:2,1000:1 --output trace.csv
  goldilocks trace poisson --rate 2 --seconds 600 --tflops 0.003:1,0.006:1 --images 1:9,4:1 > trace.csv";

pub(super) const TRACE_BURSTY: &str = "\
Examples:
  goldilocks trace bursty --rate 20 --seconds 3600 --budgets 2x:1,8x:1 --floor-ms 25 --output bursty.csv";

pub(super) const TRACE_FLASH: &str = "\
Examples:
  goldilocks trace flash --rate 5 --factor 10 --from 20 --for 10 --seconds 60 --budgets 250 --output flash.csv";

pub(super) const LOAD: &str = "\
Examples:
  goldilocks load trace.csv
  goldilocks load trace.csv --url http://127.0.0.1:8080 --rate-scale 2 --records records.csv
  goldilocks load trace.csv --api-key-file keys.txt --json";

pub(super) const SIMULATE: &str = "\
Examples:
  goldilocks simulate trace.csv
  goldilocks simulate trace.csv --devices 4 --policy goldilocks,always-small --json";

pub(super) const FLOPS: &str = "\
Examples:
  goldilocks flops weights/emoji/unet-c16/config.json --latent 16x16 --tokens 32
  goldilocks flops unet/config.json --height 512 --width 512 --json";

pub(super) const MODELS: &str = "\
Examples:
  goldilocks models
  goldilocks models --config other.toml --json";

pub(super) const OPENAPI: &str = "\
Examples:
  goldilocks openapi > openapi.json
  goldilocks openapi --markdown > docs/api-reference.md";

pub(super) const DOCTOR: &str = "\
Examples:
  goldilocks doctor
  goldilocks doctor --config models.toml --state-dir /var/lib/goldilocks --listen 0.0.0.0:8080
  goldilocks doctor --json

Say the flags that `serve` will get. The exit code is 1 if anything fails; warnings are no failures.";

pub(super) const COMPLETIONS: &str = "\
Examples:
  goldilocks completions bash > ~/.local/share/bash-completion/completions/goldilocks
  goldilocks completions zsh > ~/.zfunc/_goldilocks
  goldilocks completions fish > ~/.config/fish/completions/goldilocks.fish";

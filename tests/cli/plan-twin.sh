# Plain transformers as large and as expensive as a looped model.
mythos plan --match-params tiny | head -n 12
mythos plan --match-flops tiny --loops 16 --json | json 'd["twin"]' 'd["loops"]' 'd["macs_per_token"]["total"]'
mythos plan --match-params tiny --set dim=64 --toml > twin.toml
head -n 1 twin.toml
mythos plan --config twin.toml --json | json 'd["parameters"]'
mythos plan --match-flops twin.toml --toml | head -n 1
mythos plan --preset nano --set ffn=dense --toml > nano.toml
mythos plan --config nano.toml --toml | cmp - nano.toml && echo "reads back equal"
run mythos plan --match-params tiny --match-flops tiny
run mythos plan --match-params tinny
run mythos plan --match-params missing.toml
run mythos plan --match-params tiny --toml --json

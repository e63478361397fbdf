# Muon with averages of the weights; lengths in tokens and epochs; what is refused.
# needs: torch
# fixture: run
data=$FIXTURES/text/data small=$SOURCE/tests/cli/fixtures/small.toml
train() { run mythos train --config "$small" --data "$data" "$@"; }
train --out run --length 640t --set optimizer=muon --set ema_decay=0.9 --set warmup_steps=1 \
  --set 'param_groups=embed.* lr=0.5; *.wo.weight decay=0 schedule=constant' --set schedule=wsd --set val_every=0
mythos eval --checkpoint run --data "$data" --loops 3 --quiet --json > weights.json
mythos eval --checkpoint run --data "$data" --loops 3 --quiet --json --ema > averages.json
cmp -s weights.json averages.json || echo "averages are not the weights"
mythos export --checkpoint run --output exported --ema --quiet > /dev/null && echo "exported"
mythos generate --checkpoint run --prompt "the" --max-tokens 1 --ema --quiet > /dev/null && echo "generated"
run mythos eval --checkpoint "$FIXTURES/run/run" --data "$data" --ema --quiet
train --out other --length 10Gb
train --out other --length 0e
train --out other --length 0.0001e
train --out other --length 5 --steps 7
train --out other --set 'param_groups=embed.weight'
train --out other --set 'param_groups=embed.weigth lr=0.1'
train --out other --set 'param_groups=embed.weight schedule=cosin'
train --out run --resume --set optimizer=adamw

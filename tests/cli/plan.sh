# What a model costs, as text, as JSON and as one table of all presets.
mythos plan --preset openmythos-1b
for preset in openmythos-1b openmythos-3b openmythos-10b openmythos-50b openmythos-100b openmythos-500b openmythos-1t; do
  mythos plan --preset $preset --json | json 'f"{d['"'name'"']} {d['"'parameters'"']:,}"'
done
mythos plan --preset nano --json | json 'd["schema"]' 'sorted(d)' 'd["loops"]' 'd["macs_per_token"]["total"]'
mythos plan --preset nano --loops 16 --json | json 'd["loops"]' 'd["macs_per_token"]["total"]'
mythos plan --all --json | json 'd["schema"]' 'len(d["plans"])'
mythos plan --all | head -n 2
run mythos plan
run mythos plan --preset nano --all
run mythos plan --preset nano --loops 1099511627776 --batch-size 1099511627776
run mythos plan --preset nano --loops 0

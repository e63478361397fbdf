# 10 steps, a resume and 10 more give the same bytes as 20 steps.
# needs: torch
# fixture: run
mkdir run
cp -r "$FIXTURES/run/run/step-000010" run
run mythos train --resume --data "$FIXTURES/text/data" --out run --quiet
same "$FIXTURES/run/run/step-000020/model.safetensors" run/step-000020/model.safetensors
same "$FIXTURES/run/run/step-000020/optimizer.safetensors" run/step-000020/optimizer.safetensors

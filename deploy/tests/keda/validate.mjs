// Reads a JSON list of ScaledObjects and holds each against KEDA's own schema.
import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";

let text = "";
for await (const chunk of process.stdin) {
  text += chunk;
}
for (const object of JSON.parse(text)) {
  try {
    new ScaledObject(object).validate();
  } catch (error) {
    console.error(`${object?.metadata?.name}: ${error.message}`);
    process.exitCode = 1;
  }
}

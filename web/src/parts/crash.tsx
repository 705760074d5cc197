import { Button, Result } from "antd";
import { Component, type ReactNode } from "react";
import { useWords } from "../words";

/** Shows what went wrong in place of an empty page. */
export class Crash extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    return this.state.error === undefined ? this.props.children : <Message error={this.state.error} />;
  }
}

function Message({ error }: { error: Error }) {
  const words = useWords();
  return (
    <Result status="error" title={words.common.crashed} subTitle={words.common.crashedText}
      extra={<Button type="primary" onClick={() => location.reload()}>{words.common.reload}</Button>}>
      <pre className="code reason">{`${error.name}: ${error.message}`}</pre>
    </Result>
  );
}

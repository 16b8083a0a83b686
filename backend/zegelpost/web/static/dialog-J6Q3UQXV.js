(()=>{async function e(n){await Office.onReady(),Office.context.ui.messageParent(n)}var t=document.querySelector("[data-code]")?.dataset.code;t&&e(JSON.stringify({code:t}));})();
